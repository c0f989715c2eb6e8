extension Synonyms {
    /// By subject. See ``Synonyms`` for how a line is read.
    static let english = """
        how_long how_soon how_fast how_quick how_quickly how_many_days how_many_weeks > days hours takes working
        how_long how_many_days how_many_weeks until_when by_when deadline too_late > within limit period
        when_will when_do when_does when_is when_can when_are what_day which_day > date day days time
        what_time which_time until_what_time from_when > hours open daily slot
        how_much what_cost what_does_cost what_do_pay what_would_cost price_of > cost costs price fee charge
        how_much_extra pay_extra extra_cost more_to_pay anything_more on_top surcharge > extra surcharge fee
        for_free for_nothing gratis free_of_charge no_charge without_paying at_no_cost > free
        who_pays who_covers who_bears at_whose_expense > free deducted fee cost
        allowed permitted forbidden prohibited
        limit maximum minimum

        refund refunded refunds reimburse reimbursed reimbursement repay repaid moneyback cashback
        money_back cash_back pay_back paid_back see_my_money my_money get_my_money want_my_money > refund
        on_my_card to_my_card my_account_is my_bank my_statement on_my_statement in_my_wallet bank_account still_empty \
        > refund bank card arrives
        deducted deduct deduction subtracted withheld taken_off knocked_off keep_some > deducted deduction
        money cash
        account bank statement

        return returned returns returning sendback
        send_back give_back take_back bring_back ship_back mail_back post_back hand_back back_to_you \
        send_it_back take_it_back give_it_back bring_it_back take_them_back send_them_back > return
        changed_my_mind change_my_mind changed_mind make_up_my_mind dont_like do_not_like didnt_like dont_want dislike \
        doesnt_suit not_happy_with disappointed regret unwanted ugly hideous second_thoughts after_all \
        > return mind unused reason
        keep_it keeping_it trial try_it_out try_it_on > return days
        tried_on tried worn opened unsealed unwrapped unboxed used washed > unworn unused opened unopened wear
        label labels tag tags sticker
        underwear lingerie knickers boxers > underwear hygiene
        swimwear bikini swimsuit trunks swim swimming > swimwear
        engraved personalised personalized custom customised customized monogrammed bespoke

        exchange exchanged exchanges exchanging swap swapped trade traded switch switched
        replace replaced replacement replacements
        another_size other_size different_size bigger_one smaller_one one_bigger one_smaller size_up size_down \
        too_big too_small too_tight too_loose too_large too_long too_short doesnt_fit does_not_fit dont_fit pinch pinches \
        size_bigger size_smaller > exchange exchanging size
        another_colour another_color other_colour other_color different_colour different_color rather_have in_green in_blue \
        in_black in_white in_red in_grey in_brown > exchange exchanging colour
        colour color shade hue
        beige blue green black white red grey gray pink navy yellow brown > colour

        cancel cancelled canceled cancelling cancellation revoke withdraw undo annul abort
        call_off stop_it stop_order stop_my_order by_mistake by_accident accidentally accident go_away back_out bail_out \
        never_happened no_longer_need no_longer_want dont_need dont_want_it take_it_off drop_one remove_one \
        bought_twice ordered_twice pressed_twice clicked_twice pressed_buy ordered_wrong wrong_thing > cancel cancelling
        remove_one drop_one take_off only_one_of one_thing remove_something leave_out > cancel single items
        order orders ordered purchase purchased purchases buy bought buying
        before_it_leaves before_it_ships before_it_goes not_shipped_yet not_sent_yet hasnt_shipped hasnt_left \
        checked_out checking_out just_ordered just_bought minutes_ago > before dispatch
        already_shipped already_sent already_left on_its_way on_the_way has_left it_left under_way > after dispatch
        not_accept wont_accept turn_away turn_down send_away refuse refused reject decline > refuse
        reject rejected decline declined refuse refused

        damaged damage damages broken broke cracked crack smashed shattered crushed dented dent torn ripped scratched scratch \
        scratches chipped chip bent squashed splintered
        in_pieces in_bits to_bits to_pieces in_shards in_two in_half fell_apart sat_on stepped_on leaking soaked wet > damaged
        vase bowl bowls cup cups mug mugs teapot mirror crockery porcelain pottery china tumbler > glass ceramics pieces
        money_off some_money something_off keep_it_if keep_it_anyway > partial refund keeping
        money_off knock_off something_off > discount
        unwrapped unpacked unboxed opened_it out_of_the_box out_of_the_wrapping on_arrival when_it_came came_with arrived_with \
        > arrived damaged packaging
        parcel parcels package packages packet packets box boxes carton cartons
        packaging wrapping padding
        cosmetic blemish flaw scuff
        photo photos picture pictures image images snapshot photograph

        faulty defective defect defects fault faults broken malfunction malfunctioning
        stopped_working stopped no_longer_works doesnt_work does_not_work not_working wont_work broke_down broke gave_up died dead \
        packed_up wont_turn_on wont_start wont_switch_on no_sound came_apart coming_apart came_off fell_off flickers leaks rattles \
        not_heating not_charging no_power wont_charge > fault faulty warranty
        warranty guarantee guaranteed covered coverage cover
        make_it_good make_good half_a_year after_a_year after_months after_two_years months_old year_old years_old a_year_ago \
        months_ago bought_last > warranty months
        repair repaired repairs repairing fix fixed fixes mend mended restore
        broke broken stopped died dead > repaired repair
        seam seams stitching hem sleeve lining > seams clothing warranty
        zip zipper button buttons > zips buttons clothing warranty
        blender mixer toaster kettle cooker heater fan vacuum hairdryer iron humidifier microwave oven fridge > appliances
        dropped fell_down spilled spilt spill splash > drops water
        receipt proof invoice evidence slip
        serial model

        missing absent lacking incomplete
        part parts piece pieces component components screw screws bolt bolts nut nuts nail nails dowel dowels hook hooks hinge \
        hinges bracket brackets knob handle lid cable remote accessory accessories fitting fittings spare
        too_few one_short is_short not_in_there not_in_it werent_in wasnt_in not_included wasnt_included came_without \
        without_its supposed_to_have should_have_had forgot_to_pack forgot_to_put there_is_no there_was_no only_one \
        > missing parts
        dowel bolt nail nut hook bracket hinge knob lid > missing parts
        assemble assembled assembling assembly build built mount put_together put_up set_up screw_together
        instructions manual guide leaflet drawing
        hang_up hang_it_up put_together instructions > parts

        wrong incorrect mistaken mixed
        not_what_i_ordered not_the_one something_else different_item someone_elses not_mine isnt_mine > wrong item

        complain complained complaint complaints complaining grievance
        rude insulting insulted insult unfriendly impolite swore swear shouted shout yelled yell aggressive behave behaved \
        behaviour behavior attitude manners badly > complaint complaints behaviour courier staff
        fed_up unhappy dissatisfied angry furious unacceptable outrageous had_enough useless ridiculous not_satisfied > complaint satisfied
        manager supervisor boss superior
        above_you higher_up in_charge someone_senior your_boss > supervisor complaint
        report_him report_her report_them whom_do_i_tell who_do_i_tell take_that_up who_can_i_tell where_do_i_turn > complaint report
        employee employees staff agent agents assistant representative worker workers personnel
        real_person a_human speak_to talk_to ring_you call_you phone_you hotline > phone chat person
        report notify inform

        account profile user login signin
        log_in log_on sign_in signing_in get_in get_into let_me_in locked_out sign_on access > sign account password
        credentials username passcode pin passphrase > password sign
        password passwords passcode
        forgot forgotten remember cant_recall dont_recall what_i_chose > forgot password resetting
        too_often too_many_times many_tries too_many_tries typed_it_wrong wrong_too let_me_in wont_let_me_in > locked wrong password
        locked lock blocked suspended frozen
        sms text texts texted code codes digits verification otp
        no_sms no_code never_comes doesnt_come never_shows not_arriving never_get doesnt_arrive nothing_comes > code arriving
        close delete deleted erase erased remove removed wipe wiped
        phone telephone mobile cell cellphone smartphone

        data privacy personal information info gdpr
        about_me know_about know_about_me stored_about saved_about who_i_am forget_me my_info my_details > data privacy personal
        what_do_you_know what_have_you_stored see_what_you see_it > copy data
        advertising ad ads advert adverts advertisement marketing newsletter newsletters promotional spam mailing mailings
        take_me_off off_the_list unsubscribe opt_out stop_sending stop_emailing stop_these keep_sending being_sent > stop advertising messages
        close_my_account delete_my_account get_rid_of_my_account > close account delete

        price prices cost costs fee fees charge charges rate
        expensive pricey dear costly
        cheap cheaper cheapest inexpensive lower
        drop dropped drops fell fall falls reduced decreased
        cheaper_now cheaper_today now_cheaper is_it_cheaper cheaper_than yuan_less less_now less_today on_special on_sale on_offer \
        put_it_on went_down gone_down price_went after_i_bought after_i_ordered suddenly reduced full_price \
        > price fell lower lowers difference
        make_up_for overpaid overcharged paid_too_much the_difference > difference refund price
        discount discounts reduction deal deals promotion sale bargain rebate saving savings
        elsewhere competitor competitors rival rivals another_shop other_shop another_store other_store another_site other_site \
        another_website other_website other_retailer amazon taobao ebay walmart online_for next_door_shop > shop other match
        beat beat_it beat_that go_down go_down_to go_as_low undercut match_that same_price for_that_price better_deal better_price \
        match_it > match price
        compare comparison match matching
        shop shops store stores retailer retailers website webshop

        voucher vouchers coupon coupons promo promocode
        code_wont code_isnt code_doesnt promo_code promo_thing discount_code wont_apply wont_work not_accepted says_invalid invalid \
        is_refused wont_take > refused code voucher
        stack stacked stacking together combine combined combining merge
        both_coupons two_coupons coupons_together use_both use_two > combining combined vouchers
        first_order first_time first_purchase newcomer new_here just_signed_up just_registered > new customer voucher
        birthday anniversary

        member members membership loyalty club
        level levels tier tiers rank status
        point points reward rewards bonus coins miles
        bonus_coins bonus_points > points
        perk perks benefit benefits advantage advantages gain get_out_of whats_in_it in_it_for_me shop_a_lot shopping_with_you_a_lot \
        shopping_a_lot buy_a_lot regular_customer loyal > membership members level
        top_tier highest_tier vip top_level move_up climb upgrade > level gold membership
        expire expired expires expiry run_out runs_out go_bad goes_bad lapse lapses use_by good_for valid validity
        how_many_years is_gone be_gone how_long_good > valid months expiry

        pay paid pays paying payment payments settle settled
        pay_with ways_to_pay do_you_take do_you_accept can_i_use_my > pay accepted methods cards
        cash banknote banknotes notes coins bills > cash money
        when_it_comes when_he_comes when_he_brings when_it_arrives at_the_door on_delivery on_arrival on_the_spot \
        give_the_postman give_the_driver > cash delivery door
        card cards visa mastercard amex credit debit
        declined went_wrong didnt_go_through did_not_go_through not_go_through unsuccessful money_left took_the_money \
        took_it_anyway charged_twice debited taken_from left_my_account > payment fails unpaid debited
        paypal wallet alipay wechat
        transfer wire remit remittance
        half_and_half part_with partly_with > combine splitting
        instalment instalments installment installments monthly pay_later

        gift gifts present presents
        gift_card store_credit shop_credit credit_for e_card gift_voucher > gift cards balance
        give_my give_him give_her let_him_choose choose_herself choose_himself spend_herself > gift card
        credit balance
        wrap wrapped wrapping giftwrap ribbon bow
        look_pretty look_nice looking_festive look_festive pretty festive nicely nice_paper surprise > gift wrapping wrap
        birthday anniversary christmas wedding mothers_day valentine niece nephew goddaughter godson > gift
        few_words greeting greetings dedication write_something personal_note little_note > message card gift
        without_a_bill without_bill without_an_invoice without_prices no_price see_the_price see_how_much hide_the_price \
        what_it_cost how_much_i_paid > prices shows gift
        recipient addressee receiver

        stock available availability instock
        sold_out out_of_stock unavailable greyed_out grayed_out greyed not_available cant_select cant_be_ordered > sold stock back
        more_of_it more_of_them have_it_again get_it_again come_back be_back back_in bought_again available_again get_more in_again \
        > restock back stock alert
        let_me_know notify_me tell_me_when text_me email_me alert alerts remind reminder notification ping_me > alert restock
        reserve reserved hold held put_aside set_aside kept_for_me keep_for_me saved_for_me
        basket cart trolley
        deposit downpayment prepayment

        size sizes sizing fit fits fitting
        trousers pants jeans leggings shorts
        jumper jumpers sweater sweaters pullover pullovers hoodie cardigan knitwear
        shirt blouse tee
        coat jacket parka
        jumper jumpers sweater hoodie shirt coat jacket jeans trousers pants dress skirt blouse > clothing
        shoe shoes boot boots sneakers trainers slippers sandals heels loafers foot feet
        centimetre centimetres centimeter centimeters cm
        metres_tall metre_tall cm_tall tall short slim skinny stout chubby heavyset curvy kilos > height weight size
        what_do_i_take what_do_i_pick which_do_i_take which_should_i which_one_should what_should_i_order what_to_take \
        come_out_tight come_out_small come_out_large run_small run_large run_big fall_small true_to_size > size
        tight loose snug baggy roomy
        chest bust breast
        in_between halfway edge_of > between

        plug plugs socket sockets outlet outlets
        wall_socket power_point > plug socket
        adapter adapters adaptor converter
        voltage voltages volt volts mains
        current electricity > voltage plug
        america american usa states united_states mexico brazil > abroad overseas country
        japan tokyo osaka kyoto
        canada toronto vancouver montreal ottawa
        kingdom britain england scotland london manchester uk
        germany berlin munich hamburg frankfurt
        france paris lyon marseille french
        italy rome milan spain madrid poland europe european austria vienna > abroad overseas
        australia sydney melbourne brisbane
        zealand auckland wellington
        korea seoul busan
        malaysia kuala_lumpur
        hairdryer hairdryers hair_dryer hair_dryers dryer dryers blowdryer
        appliance appliances device devices gadget gadgets
        abroad overseas international foreign
        travel travelling trip journey holiday_in vacation > abroad

        charger chargers charging charge recharge powerbrick
        brick power_supply power_adapter juice juice_up top_up > charger charging
        earphone earphones headphone headphones earbud earbuds airpods headset
        laptop laptops macbook notebook computer chromebook
        tablet tablets ipad
        iphone smartphone android > phone phones
        monitor screen display
        watt watts wattage
        fry harm harmful hurt ruin overload bad_for too_strong too_powerful > safe
        weak strong powerful stronger strongest

        bulk wholesale quantity quantities
        business company companies corporate firm office
        kit_out kitting_out employees colleagues our_team our_staff our_office many_of_them > bulk business
        logo emblem crest
        emblem our_name_on company_name print_on printed_on > logo printing
        print printed printing imprint
        quote quotation estimate
        something_off anything_off how_much_off better_price_if > discounts discount

        deliver delivered delivers delivery deliveries ship shipped ships shipping shipment dispatch dispatched send sent
        arrive arrived arrives arriving arrival
        at_my_door reach_me get_here be_here is_it_here have_it_by get_it_by with_me in_my_hands on_my_doorstep > delivery arrives days
        click_buy order_tonight order_today order_now buy_tonight buy_today > paid dispatch day
        tomorrow tonight express overnight next_day fast quick quicker urgent asap rush
        tomorrow tonight next_day need_it_by in_a_hurry > express day
        late overdue delayed delay delays later
        should_have_been was_supposed_to supposed_to_arrive no_sign_of sign_of_it still_not_here still_waiting still_hasnt not_here_yet \
        not_come_yet for_the_wait > late later expected
        compensation compensate make_amends anything_for_the_wait > voucher refunded late

        postage freight carriage shipping_cost shipping_costs delivery_cost delivery_costs > delivery fee charges
        getting_it_here get_it_here have_it_sent have_it_delivered to_send_it you_pay_postage > delivery charges fee
        free_shipping free_delivery postage_free have_to_spend need_to_spend must_i_spend > free delivery from

        track tracking trace tracked follow locate
        where_is wheres where_are where_has where_did whereabouts how_far right_now > track tracking status
        stuck no_update no_updates not_updated same_thing nothing_changed hasnt_changed not_moved hasnt_moved not_moving stopped_moving \
        frozen_since since_monday since_friday > movement scan tracking
        as_guest without_account without_an_account without_signing > signing order

        lost lose missing stolen disappeared vanished
        nicked swiped pinched thief thieves theft stole robbed somebody_took someone_took took_it > lost received
        never_came never_arrived never_turned_up not_received didnt_receive did_not_receive nothing_there not_there isnt_there \
        says_delivered marked_delivered claims_i_have says_i_have is_bare > received lost delivered
        porch doorstep doormat front_door > door delivered
        next_door neighbour neighbours neighbor neighbors reception receptionist concierge janitor doorman guard
        flatmate roommate housemate husband wife brother sister mother father friend neighbour > somebody else adult
        somebody_else someone_else another_person instead_of_me in_my_place on_my_behalf for_me_instead > somebody else adult authorise

        address addresses
        street flat apartment house place home location
        moved move moving moved_house old_flat old_place old_address former_address wrong_place wrong_street house_number > address
        reroute rerouted redirect redirected divert diverted forward
        come_to_my go_to_my to_my_office to_my_work to_my_parents somewhere_else elsewhere_instead > address redirect
        put_in_my_old typo misspelt misspelled wrong_address > address wrong edit
        change changed changing edit edited modify modified correct corrected update updated alter altered

        pickup collect collected collecting collection fetch
        fetch_it collect_it get_it_myself pick_it_up pick_up corner_store corner_shop round_the_corner \
        on_the_way_home on_my_way_home near_me > pickup point
        locker lockers
        hang_on_to hold_it keep_it_for hold_on_to lying_there wait_for_me still_be_there away_until > kept waits pickup days

        sign signature signatures signed
        id identity passport identification
        be_there_in_person in_person be_in be_home someone_in somebody_in have_to_be_home have_to_be_there > signature home
        take_it_in take_in accept_it receive_it accept accepts accepted receive > accept accepts
        worth thousand valuable expensive costly > above value

        weekend weekends saturday sunday saturdays sundays
        weekday weekdays monday tuesday wednesday thursday friday
        holiday holidays easter christmas bank_holiday bank_holidays public_holiday new_year
        evening evenings night after_work late_in_the_day come_late after_hours > evening slot
        in_the_morning in_the_afternoon certain_time time_of_day > slot
        work_on_sunday open_on_sunday on_a_sunday on_sundays at_easter at_christmas > weekend holiday day

        heavy bulky large big huge oversize oversized
        sofa couch bed mattress wardrobe closet dresser cupboard cabinet bookcase sideboard armchair > oversize large furniture
        stairs staircase upstairs steps
        floor floors storey storeys story lift elevator
        upstairs up_the_stairs attic top_floor which_floor haul haul_up carry lug drag bring_up brings_up > floor lift carrying
        worn_out old_one old_bed old_sofa get_rid_of take_away haul_away dispose disposal > old furniture away
        appointment appointments reschedule postpone another_day other_day different_day
        put_together build_it > assembly assemble

        customs duty duties tariff tariffs
        tax taxes vat taxman > tax duty customs
        import imported imports
        border cross_the_border authorities officials officer held_at > customs duty
        declare declared declaration
        write_less lower_value mark_as_gift write_gift > declare value
        country countries nation

        battery batteries         powerbank power_bank portable_charger pocket_charger mobile_charger milliamp mah > power banks batteries
        swollen swelling bulging bulge bulges puffed bloated puffy > swollen battery
        leak leaking leaks smells smelly > leaking hot
        plane planes airplane aircraft airport flight flights flying fly aboard > aircraft air
        mail post posted
        chilled cooled refrigerated frozen cool cold fridge fresh

        courier couriers driver drivers postman carrier mailman deliveryman
        delivery_guy delivery_man your_man your_guy your_driver van_driver > courier
        contact reach call write enquire inquire
        app application
        download export
        choose select pick chosen selected
        register signup join joined
        clean cleaning wash washing
        secondhand second_hand refurbished
        """
}
